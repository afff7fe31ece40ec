"""Augmentation policies as JSON: what is written is read again, and anything else is refused with one line."""

import json
import math

import pytest

from nas.augmentation_policy import (
    LARGEST_FILE_BYTES,
    MOST_SUB_POLICIES,
    OPERATIONS,
    AugmentationPolicy,
    AugmentationStep,
    SubPolicy,
    read_policy,
)
from nas.errors import DataError

ROTATE = AugmentationStep("Rotate", 0.1 + 0.2, 1 / 3)
POLICY = AugmentationPolicy(
    (SubPolicy(ROTATE, AugmentationStep("Invert", 1.0, 0.0)), SubPolicy(AugmentationStep("Cutout", 0.0, 1.0), ROTATE))
)


def data(**changes):
    """The policy as JSON values, with some of them changed."""
    return {**POLICY.to_json(), **changes}


def with_step(**changes):
    """The policy as JSON values, with keys of its first step changed."""
    values = data()
    values["sub_policies"][0][0].update(changes)
    return values


def refusal(values):
    with pytest.raises(DataError) as error:
        AugmentationPolicy.from_json(values)
    assert "\n" not in str(error.value)
    return str(error.value)


def file_refusal(path):
    with pytest.raises(DataError) as error:
        read_policy(path)
    message = str(error.value)
    assert message.startswith(f"augmentation policy {path}")
    assert "\n" not in message
    return message


def test_a_written_policy_is_read_again(tmp_path):
    path = tmp_path / "policy.json"
    POLICY.write(path)
    assert read_policy(path) == POLICY
    assert AugmentationPolicy.from_json(POLICY.to_json()) == POLICY
    assert json.loads(path.read_text()) == POLICY.to_json()


def test_every_operation_and_whole_numbers_are_read():
    for operation in OPERATIONS:
        policy = AugmentationPolicy.from_json(with_step(operation=operation, probability=1, magnitude=0))
        assert policy.sub_policies[0].first == AugmentationStep(operation, 1.0, 0.0)


@pytest.mark.parametrize("values", [None, 3, [], "policy", {}, data(format="other")])
def test_what_is_no_policy_is_refused(values):
    assert "this is no augmentation policy; it must be an object with format = " in refusal(values)


@pytest.mark.parametrize("version", [2, 0, "1", None, True, [1]])
def test_another_version_is_refused(version):
    assert refusal(data(version=version)) == f"the policy has version {version!r}; this program reads version 1"


def test_unknown_keys_are_refused():
    assert refusal(data(seed=3)) == "a policy has no key 'seed'; leave it out"


@pytest.mark.parametrize(
    "rows, given",
    [(None, "None"), ("x", "'x'"), ([], "a list of 0"), ([[]] * (MOST_SUB_POLICIES + 1), "a list of 1,001")],
)
def test_a_number_of_sub_policies_out_of_bounds_is_refused(rows, given):
    assert refusal(data(sub_policies=rows)) == f"sub_policies is {given}; it must be a list of 1 to 1,000 sub-policies"


@pytest.mark.parametrize("row", [[], [{}], [{}, {}, {}], {}, "x", None])
def test_a_sub_policy_without_two_steps_is_refused(row):
    rows = [data()["sub_policies"][0], row]
    assert refusal(data(sub_policies=rows)) == f"sub-policy 2 is {row!r}; it must be a list of two steps"


@pytest.mark.parametrize("step", [{}, [], "Rotate", {"operation": "Rotate", "probability": 1}])
def test_a_step_without_its_keys_is_refused(step):
    message = refusal(data(sub_policies=[[step, step]]))
    assert message == f"a step of sub-policy 1 is {step!r}; it must have magnitude, operation, probability"


def test_a_step_with_another_key_is_refused():
    assert "it must have magnitude, operation, probability" in refusal(with_step(sign=1))


@pytest.mark.parametrize(
    "operation, nearest",
    [("rotate", "did you mean 'Rotate'?"), ("ShearZ", "did you mean 'Shear"), (3, "Known: "), (["Rotate"], "Known: ")],
)
def test_an_unknown_operation_is_refused_with_the_nearest(operation, nearest):
    message = refusal(with_step(operation=operation))
    assert message.startswith(f"operation {operation!r} of sub-policy 1: ")
    assert nearest in message
    assert all(name in message for name in OPERATIONS)


@pytest.mark.parametrize("key", ["probability", "magnitude"])
@pytest.mark.parametrize("value", [-1e-9, 1.5, 10**400, math.nan, math.inf, True, False, "0.5", None, [0.5]])
def test_a_number_out_of_range_is_refused(key, value):
    message = refusal(with_step(**{key: value}))
    assert message.startswith(f"{key} of sub-policy 1 is {repr(value)[:60]}")
    assert message.endswith("; it must be a number from 0 to 1")


@pytest.mark.parametrize("text", ["", "{", "policy", "[" * 100_000, "{'format': 1}", '{"version": ' + "9" * 5000 + "}"])
def test_a_file_without_json_is_refused(tmp_path, text):
    path = tmp_path / "policy.json"
    path.write_text(text)
    assert "cannot be read as JSON: " in file_refusal(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "policy.json"
    path.write_bytes(b"\xff\xfe\x00{")
    assert "line 1 is not UTF-8 (" in file_refusal(path)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_literals_that_are_no_numbers_of_json_are_refused(tmp_path, literal):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(with_step(probability="HERE")).replace('"HERE"', literal))
    assert "probability of sub-policy 1 is" in file_refusal(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "policy.json"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)
    assert file_refusal(path).endswith(
        "has 9.54 MiB; 9.54 MiB is the most that is read; give the JSON file of a saved policy"
    )


def test_missing_files_and_folders_are_refused(tmp_path):
    assert file_refusal(tmp_path / "none.json").endswith(
        "none.json does not exist; give the JSON file of a saved policy"
    )
    assert file_refusal(tmp_path).endswith(" is a folder; give a file; give the JSON file of a saved policy")


def test_a_bad_policy_in_a_file_is_refused_with_its_name(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(with_step(operation="Rotat")))
    assert file_refusal(path).startswith(f"augmentation policy {path}: operation 'Rotat' of sub-policy 1: did you mean")
