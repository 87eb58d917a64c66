"""Section 6: the pickles in the artifact, read from the outside; none is loaded."""

from __future__ import annotations

from pytest_vcp.artifact.artifact import ModelArtifact, local_path
from pytest_vcp.artifact.pickles import SMALL_BYTES, PickleFacts, WeightPickle
from pytest_vcp.rules.outcomes import Location, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others
from pytest_vcp.settings.resolved import Settings

# What of an artifact MLflow unpickles, and with what.
LOADED = ("python_model.pkl", "mlflow.pyfunc.model")


@rule("VCP608")
def test_vcp608_pickle_holds_code_by_reference(
    vcp_artifact: ModelArtifact, vcp_pickle: PickleFacts, vcp_settings: Settings
) -> None:
    """The pickled wrapper refers to its code, and contains neither weights nor paths.

    What a finished artifact holds besides its code is only advised: MLflow runs load_context on
    what it pickles, unless it is kept from that.
    """
    loaded = vcp_artifact.flavor.get("python_model"), vcp_artifact.flavor.get("loader_module")
    if loaded != LOADED:
        raise Violation(
            expected=f"MLmodel to have {LOADED[0]} loaded by {LOADED[1]}",
            received=f"{loaded[0]} loaded by {loaded[1]}",
            remedy="save an instance of the wrapper class, by mlflow.pyfunc.save_model",
            where=Location("MLmodel"),
        )
    faults = pickle_problem(vcp_pickle)
    # MLflow loads the weights into what it then pickles: of a finished artifact, that is told.
    is_alone = vcp_settings.artifact_only is not None
    problem = faults or held_problem(vcp_pickle, vcp_settings)
    if problem:
        received, remedy = problem
        if is_alone and not faults:
            remedy = "package it with this plugin: MLflow loads weights into what it pickles"
        raise Violation(
            expected="a small pickle that refers to model_code and holds nothing else",
            received=received,
            remedy=remedy,
            where=Location("python_model.pkl"),
            binds=bool(faults) or not is_alone,
        )


@rule("VCP609")
def test_vcp609_weights_only_build_data(vcp_weight_pickles: tuple[WeightPickle, ...]) -> None:
    """No pickle in the weights needs more than tensors, arrays and plain collections."""
    foreign = [entry for entry in vcp_weight_pickles if entry.foreign]
    if foreign:
        first = foreign[0]
        raise Violation(
            expected="weights whose pickles build tensors, arrays and plain collections only",
            received=f"a pickle that needs {first.foreign}{and_others(len(foreign))}",
            remedy="save arrays and state dicts (safetensors, .npz, torch), not objects",
            where=Location(first.path),
        )
    for entry in vcp_weight_pickles:
        if entry.unread:
            raise Unverified(f"{entry.path} can't be followed to its end: {entry.unread}")


def pickle_problem(pickle: PickleFacts) -> tuple[str, str] | None:
    """What the pickled wrapper does or holds that keeps it from being loaded, and the remedy."""
    if pickle.problem:
        return pickle.problem, "check what model_code changes in MLflow while it is imported"
    if pickle.harmful:
        return (
            f"a pickle that {pickle.harmful[0]}{and_others(len(pickle.harmful))}",
            "keep plain values on self; whatever has to run, runs in load_context",
        )
    if pickle.by_value:
        return (
            f"the code of {told_kind(pickle.by_value[0])}, which other Pythons can't read",
            "define it at the top of a module in model_code; no lambda or inner function on self",
        )
    return None


def held_problem(pickle: PickleFacts, settings: Settings) -> tuple[str, str] | None:
    """What the pickled wrapper holds besides, and how to keep it out."""
    in_load_context = "load weights in load_context, not in the constructor"
    if pickle.arrays:
        library = pickle.arrays[0].partition(".")[0]
        return f"{pickle.binary_bytes} bytes of arrays ({library})", in_load_context
    if pickle.binary_bytes > SMALL_BYTES:
        return f"{pickle.binary_bytes} bytes of binary data", in_load_context
    if pickle.bytes > settings.policy.pickle_bytes:
        return f"{pickle.bytes} bytes, more than {settings.policy.pickle_bytes}", in_load_context
    for text in pickle.texts:
        if path := local_path(text, settings.pkg_dir):
            return f"the path {path}", "take paths from context.artifacts, in load_context"
    return None


def told_kind(maker: str) -> str:
    """What cloudpickle's function of this name makes anew from the code in the pickle."""
    return "a function, perhaps a lambda" if maker.endswith("_make_function") else "a class"
