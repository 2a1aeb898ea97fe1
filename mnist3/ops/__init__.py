"""Operations whose lowering depends on the platform."""

from mnist3.ops.convolution import conv_general_dilated
from mnist3.ops.platform import plain_operations
from mnist3.ops.pooling import max_pool

__all__ = ["conv_general_dilated", "max_pool", "plain_operations"]
