"""Sums of several processes are those of one."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from mnist3.training import step


def test_gathered_sums_are_whole_before_anything_is_computed_from_them(monkeypatch):
    """Else XLA rounds what follows otherwise than after the sum of one process (tried: Muon)."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    mesh = Mesh(np.asarray(jax.local_devices()[:1]), "data")
    summed = jax.shard_map(
        step.sum_over_devices, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False
    )
    gradients = {"kernel": jnp.ones((2, 3)), "bias": jnp.arange(3.0)}
    lowered = jax.jit(summed).lower(gradients).as_text()
    assert "all_gather" in lowered
    assert "optimization_barrier" in lowered[lowered.index("all_gather") :]
    assert jax.tree.all(jax.tree.map(jnp.array_equal, summed(gradients), gradients))
