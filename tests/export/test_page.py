"""reader.html without a browser; what it does in one is in tests/web/test_reader_page.py."""

import importlib.resources
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnist3 import export
from mnist3.errors import UserError
from mnist3.export import page
from mnist3.export.page_network import Constants, program_of
from tests.export.test_export import network


def html(name):
    return page.files(export.reader_of(network(name)))["reader.html"].decode()


def test_all_is_within_the_page():
    text = html("sequence")
    assert len(text) < 1_500_000
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.S)
    assert markup.count("<script") == 5  # network, weights, program, and what begins
    assert not re.search(r"""\b(src|href|srcset|action)=["']?(?!["']?(data:|#))|url\(""", markup)
    assert not re.search(r"^\s*(import|export)\b", page.script(), re.M)
    assert text.count("default-src 'none'") == 1


def test_every_script_is_within_after_what_it_imports():
    folder = importlib.resources.files("mnist3.web").joinpath("js")
    assert {each.name for each in folder.iterdir()} == {f"{name}.js" for name in page.SCRIPTS}
    for place, name in enumerate(page.SCRIPTS):
        imported = re.findall(r'from "\./(\w+)\.js"', folder.joinpath(f"{name}.js").read_text())
        assert set(imported) <= set(page.SCRIPTS[:place])


def test_a_class_cannot_end_the_script():
    reader = export.reader_of(network("logistic"))
    object.__setattr__(reader.network.task, "classes", ("</script>", *"123456789"))
    assert page.files(reader)["reader.html"].count(b"</script>") == html("logistic").count(
        "</script>"
    )


@pytest.mark.parametrize("name", ["denoiser", "multilabel"])
def test_a_network_that_reads_no_numbers_is_refused(name):
    with pytest.raises(UserError, match="--formats=stablehlo,onnx"):
        html(name)


def test_weights_are_rounded_to_float16():
    here = network("logistic")
    half = page.with_rounded_weights(here)
    for weights, rounded in zip(
        jax.tree.leaves(here.params), jax.tree.leaves(half.params), strict=True
    ):
        assert rounded.dtype == np.float32
        np.testing.assert_array_equal(rounded, weights.astype(np.float16).astype(np.float32))
    assert page._rounded(np.float32([70000.0, 0.1]))[0] == 70000  # float16 has no such number


def test_constants_are_stored_once_and_exactly():
    constants = Constants()
    thirds = np.full(20, 1 / 3, np.float32)
    names = [constants.add(each) for each in (np.ones(20), thirds, np.ones(20), np.int32([1, 2]))]
    assert names == ["c0", "c1", "c0", "c2"]
    kinds = [each.get("type") for each in constants.described]
    assert kinds == ["float16", "float32", None]
    assert constants.described[2] == {"shape": [2], "values": [1.0, 2.0]}
    place = constants.described[1]["place"]
    stored = np.frombuffer(bytes(constants.content), "<f4", 20, place)
    np.testing.assert_array_equal(stored, thirds)


def test_what_no_output_needs_is_left_out():
    def function(images):
        jax.lax.erf_inv(jnp.float32(0.5))  # of no image: computed here
        return {"sum": images.astype(jnp.float32).sum() + jnp.float32(1)}

    program = program_of(function, (1, 2, 3), Constants())
    assert [step["does"] for step in program["steps"]] == [
        "convert_element_type",
        "reduce_sum",
        "add",
    ]


def test_an_operation_without_translation_is_named():
    def function(images):
        return {"found": jax.lax.erf_inv(images.astype(jnp.float32))}

    with pytest.raises(UserError, match="computes erf_inv, which is not translated to JavaScript"):
        program_of(function, (1, 2, 3), Constants())


def test_an_operation_used_in_another_way_is_named():
    def function(images):
        return {"found": jax.lax.pad(images, np.uint8(0), [(0, 0, 1)] * 3)}

    with pytest.raises(UserError, match="computes pad in a way that is not translated"):
        program_of(function, (1, 2, 3), Constants())
