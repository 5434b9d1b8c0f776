import inspect

from tinysim import errors


def test_every_error_is_in_the_tree_and_in_the_drawing() -> None:
    classes = {n for n, c in vars(errors).items() if inspect.isclass(c) and issubclass(c, Exception)}
    assert classes == set(errors.__all__) - {"nearest"}
    for name in classes:
        assert issubclass(getattr(errors, name), errors.TinysimError)
        assert name in (errors.__doc__ or "")


def test_nearest_offers_what_resembles() -> None:
    assert errors.nearest("nucleo-l4r5", ["nucleo-l4r5zi", "nrf5340-dk"]) == "did you mean nucleo-l4r5zi?"
    assert errors.nearest("x", []) == "none is known"
    assert "and 8 more" in errors.nearest("###", [f"b{i}" for i in range(20)])
