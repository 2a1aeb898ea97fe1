import pytest
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3.errors import UserError


def test_variants_take_the_type_of_their_default():
    variants = configs.parse_variants("spacing=14,model=cnn", spacing=28, model="logistic")
    assert variants == ConfigDict({"spacing": 14, "model": "cnn"})


def test_a_variant_of_several_values_has_them_joined():
    assert configs.parse_variants("pair=8+1", pair=(3, 5)).pair == (8, 1)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("modle=cnn", "did you mean model="),
        ("spacing=x", "of type int"),
        ("pair=3-8", r"of type tuple; its default is 3\+5"),
    ],
)
def test_a_wrong_variant_is_named(argument, said):
    with pytest.raises(UserError, match=said):
        configs.parse_variants(argument, spacing=28, model="logistic", pair=(3, 5))
