"""Section 1: the layout of the package directory, judged by reading files only."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from pytest_vcp.rules.outcomes import Blocked, Location, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others, did_you_mean, list_names
from pytest_vcp.settings.values import nearest
from pytest_vcp.source.artifact_sources import ArtifactSource
from pytest_vcp.source.artifact_use import artifact_reads, find_swapped
from pytest_vcp.source.author_paths import AuthorPath
from pytest_vcp.source.code_files import NoCode
from pytest_vcp.source.config_use import ConfigUse
from pytest_vcp.source.credentials import Credentials
from pytest_vcp.source.fixed_devices import FixedDevice
from pytest_vcp.source.licence import Licence
from pytest_vcp.source.metadata import Metadata, VariantEntry
from pytest_vcp.source.methods import Method
from pytest_vcp.source.package import (
    CODE,
    DATA,
    ModelPackage,
    require_code,
    require_data,
    require_parsed,
)
from pytest_vcp.source.packager_arguments import shorten
from pytest_vcp.source.shadows import Shadow
from pytest_vcp.source.wrapper import (
    NotFound,
    OpenHook,
    WrapperFacts,
    load_context_problem,
    predict_problem,
)
from pytest_vcp.util.text import truncate

if TYPE_CHECKING:
    from pytest_vcp.settings.resolved import Settings

_HOLDS = {
    "model_code/": "with __init__.py and the wrapper class",
    "model_data/": "with the weights",
    "model_spec.py": "with MODEL_SIGNATURE and INPUT_EXAMPLE",
    "requirements.in": "with the platform's line first, and then what the model needs",
}
# MLflow decodes a percent sign with two digits even in a path that is not part of a URI, and cuts
# off the path at the other two.
_OF_A_URI = re.compile(r"%[0-9A-Fa-f]{2}|[#?]")
_JSON_KINDS = {
    "list": "a list",
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "NoneType": "null",
}


@rule("VCP101")
def test_vcp101_the_directory_holds_what_the_packager_looks_for(vcp_package: ModelPackage) -> None:
    """The package directory contains model_code/, model_data/, model_spec.py, requirements.in
    and requirements.txt.
    """
    if vcp_package.missing:
        first = vcp_package.missing[0]
        found = f"{first.found} instead" if first.found else f"no {first.name}"
        raise Violation(
            expected=f"{first.name} in the package directory",
            found=f"{found}{and_others(len(vcp_package.missing))}",
            remedy=_layout_remedy(first.name, first.found),
            where=Location(first.name),
        )


@rule("VCP102")
def test_vcp102_every_module_parses(vcp_package: ModelPackage) -> None:
    """model_code is a package, and each of its modules parses on the target Python."""
    require_code(vcp_package)
    target = ".".join(map(str, vcp_package.target_python))
    if not vcp_package.is_package:
        raise Violation(
            expected=f"{CODE}/__init__.py",
            found="no such file",
            remedy=f"create an empty file {CODE}/__init__.py",
            where=Location(f"{CODE}/__init__.py"),
        )
    if vcp_package.unparsed:
        first = vcp_package.unparsed[0]
        if not first.certain:
            raise Unverified(f"only a Python {target} can tell whether {first.where} parses")
        raise Violation(
            expected=f"source that parses on Python {target}",
            found=f"{first.problem}{and_others(len(vcp_package.unparsed))}",
            remedy="save the file as UTF-8"
            if first.problem and first.problem.startswith("byte ")
            else f"correct this line; check with python{target} -m py_compile {first.where.path}",
            where=first.where,
        )


@rule("VCP103")
def test_vcp103_the_model_class_is_found(
    vcp_settings: Settings, vcp_package: ModelPackage, vcp_wrapper: WrapperFacts | NotFound
) -> None:
    """The module that --vcp-model-class names defines or re-exports the model class."""
    require_parsed(vcp_package)
    if not vcp_settings.model_class.module:
        raise Blocked("VCP109")
    if isinstance(vcp_wrapper, NotFound):
        raise Violation(
            expected=f"the model class {vcp_settings.model_class}",
            found=vcp_wrapper.what,
            remedy=vcp_wrapper.remedy or _other_class(vcp_wrapper, vcp_settings),
            where=vcp_wrapper.where,
        )


@rule("VCP104")
def test_vcp104_mlflow_can_call_the_finished_wrapper(
    vcp_package: ModelPackage, vcp_wrapper: WrapperFacts | NotFound
) -> None:
    """The model class has load_context and predict, finished, and callable as MLflow calls them."""
    require_parsed(vcp_package)
    if isinstance(vcp_wrapper, NotFound):
        raise Blocked("VCP103")
    _require_methods(vcp_wrapper)
    _require_python_model(vcp_wrapper)
    if vcp_wrapper.open_hooks:
        raise _left_open(vcp_wrapper.open_hooks)
    _require_callable(vcp_wrapper)


@rule("VCP105")
def test_vcp105_every_artifact_lies_in_model_data(
    vcp_package: ModelPackage, vcp_sources: tuple[ArtifactSource, ...]
) -> None:
    """Every artifact is a relative path in model_data/ that exists and does not lead outside."""
    require_data(vcp_package)
    outside = [source for source in vcp_sources if not source.lies_inside]
    if outside:
        raise build_outside_violation(outside[0], and_others(len(outside)))


@rule("VCP106")
def test_vcp106_every_artifact_holds_weights(
    vcp_package: ModelPackage, vcp_sources: tuple[ArtifactSource, ...]
) -> None:
    """Every artifact contains weights, and no pointer to them."""
    require_data(vcp_package)
    found = [stand_in for source in vcp_sources for stand_in in source.stand_ins]
    if found:
        first = found[0]
        raise Violation(
            expected="the weights themselves",
            found=f"{first.kind}{and_others(len(found))}",
            remedy="put the real file there (git lfs pull for Git LFS); delete what is not needed",
            where=first.where,
        )


@rule("VCP108")
def test_vcp108_the_model_config_is_one_object(
    vcp_settings: Settings, vcp_model_config: object
) -> None:
    """The model config is one JSON object."""
    if not isinstance(vcp_model_config, dict):
        kind = type(vcp_model_config).__name__
        kind = _JSON_KINDS.get(kind, kind)
        origin = vcp_settings.given("model-config-json", "").origin
        raise Violation(
            expected='one JSON object, such as {"n_components": 50}',
            found=kind,
            remedy=f"give {origin} an object in braces; {{}} for an empty one",
            where=Location(origin),
        )


@rule("VCP115")
def test_vcp115_no_two_artifacts_share_a_base_name(
    vcp_sources: tuple[ArtifactSource, ...],
) -> None:
    """No two artifacts of different content share a base name."""
    seen: dict[str, ArtifactSource] = {}
    for source in vcp_sources:
        if source.misnamed is not None:  # VCP105 reports this
            continue
        earlier = seen.setdefault(source.base_name, source)
        if earlier.path.resolve() != source.path.resolve():
            raise Violation(
                expected="artifacts of different base names",
                found=f"{earlier.name}={earlier.declared} and {source.name}={source.declared}",
                remedy=f"rename one; MLflow copies both to artifacts/{source.base_name}",
                where=source.where,
            )


@rule("VCP117")
def test_vcp117_every_artifact_that_is_read_is_given(
    vcp_settings: Settings, vcp_wrapper: WrapperFacts | NotFound
) -> None:
    """At least one artifact is given, and one under each name that load_context reads."""
    if not vcp_settings.model_class.module:  # The metadata file is unusable.
        raise Blocked("VCP109")
    given = [name for name, _ in vcp_settings.artifacts]
    if not given:
        raise Violation(
            expected="at least one artifact, as the platform's packager demands",
            found="none",
            remedy="declare what lies in model_data/: --vcp-artifact NAME=PATH",
        )
    reads = artifact_reads(vcp_wrapper)
    lacking = [read for read in reads if read.key not in given]
    if lacking:
        first = lacking[0]
        raise Violation(
            expected=f"an artifact named {shorten(first.key)}, which load_context reads",
            found=f"{' and '.join(map(shorten, given))}{and_others(len(lacking))}",
            remedy=f"name it so: --vcp-artifact {shorten(first.key)}=PATH, or read what is given",
            where=first.where,
        )
    paths = dict(vcp_settings.artifacts)
    crossed = find_swapped(reads, paths)
    if crossed:
        one, other = crossed
        raise Violation(
            expected=f"under each artifact name the file read by it, such as {shorten(one.key)}",
            found=f"{one.key}={paths[one.key]} and {other.key}={paths[other.key]}",
            remedy="swap the two paths",
            where=one.where,
            binds=one.takes(paths[one.key]) is False,
        )


@rule("VCP118")
def test_vcp118_the_class_needs_no_arguments(
    vcp_package: ModelPackage, vcp_wrapper: WrapperFacts | NotFound
) -> None:
    """The model class can be called without arguments."""
    require_parsed(vcp_package)
    if isinstance(vcp_wrapper, NotFound):
        raise Blocked("VCP103")
    method = vcp_wrapper.constructor
    if not isinstance(method, Method) or method.opaque or method.kind != "instance":
        return
    required = list_required_parameters(method.node.args)
    if required:
        raise Violation(
            expected="a constructor that can be called without arguments",
            found=f"{method.signature}, which needs {required[0]}{and_others(len(required))}",
            remedy="give it a default, and take the values from context.model_config",
            where=method.where,
        )


@rule("VCP119")
def test_vcp119_no_artifact_path_is_part_of_a_uri(
    vcp_sources: tuple[ArtifactSource, ...],
) -> None:
    """No artifact path contains what MLflow reads as part of a URI."""
    for source in vcp_sources:
        found = _OF_A_URI.search(source.declared)
        if source.misnamed is None and found:
            raise Violation(
                expected="a path that MLflow takes as it is",
                found=f"{found[0]} in {source.declared}",
                remedy=f"rename the file or folder, without {found[0]}",
                where=source.where,
            )


def list_required_parameters(arguments: ast.arguments) -> list[str]:
    """List the parameters, after the object itself, that a caller has to give."""
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = len(arguments.defaults)
    needed = positional[1 : len(positional) - with_default]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [entry.arg for entry in (*needed, *(k for k, default in keywords if default is None))]


def _layout_remedy(name: str, found: str | None) -> str:
    if name == "requirements.txt":
        return "complete requirements.in, then pin all that it needs: pytest --vcp-lock"
    if found and found.rstrip("/").lower() == name.rstrip("/").lower():
        return f"rename {found} to {name}"
    return f"create {name}, {_HOLDS[name]}"


def _other_class(wrapper: NotFound, settings: Settings) -> str:
    origin = settings.given("model-class", settings.model_class).origin
    there = did_you_mean(wrapper.near)
    if not there and wrapper.classes:
        there = f"there is {list_names(wrapper.classes)}; "
    return f"{there}name the class in {origin}"


def _require_methods(wrapper: WrapperFacts) -> None:
    for name, found in (("load_context", wrapper.load_context), ("predict", wrapper.predict)):
        if found is None:
            raise Violation(
                expected=f"a method {name}, own or inherited within model_code",
                found=f"a class without {name}",
                remedy=f"define {name} in the model class",
                where=wrapper.where,
            )


def _require_python_model(wrapper: WrapperFacts) -> None:
    if wrapper.is_python_model is False:
        raise Violation(
            expected="a class derived from mlflow.pyfunc.PythonModel",
            found="a class that does not derive from it",
            remedy="derive the model class from mlflow.pyfunc.PythonModel",
            where=wrapper.where,
        )
    if isinstance(wrapper.call, Method):
        raise Violation(
            expected="a model object that can't itself be called",
            found="a class with __call__, which MLflow takes for a plain function",
            remedy="rename __call__: MLflow would run it instead of load_context and predict",
            where=wrapper.call.where,
        )


def _left_open(hooks: tuple[OpenHook, ...]) -> Violation:
    first = hooks[0]
    left = "raises NotImplementedError" if first.raises else "has an empty body"
    return Violation(
        expected=f"a finished {first.method.name}",
        found=f"{first.method.name} {left}{and_others(len(hooks))}",
        remedy=f"write {first.method.name}, or override it in the model class",
        where=first.method.where,
    )


def _require_callable(wrapper: WrapperFacts) -> None:
    if isinstance(wrapper.load_context, Method):
        problem = load_context_problem(wrapper.load_context)
        if problem:
            raise Violation(
                expected="load_context(self, context)",
                found=problem,
                remedy="name the parameter context: MLflow passes it by this name, and no other",
                where=wrapper.load_context.where,
            )
    if isinstance(wrapper.predict, Method):
        problem = predict_problem(wrapper.predict)
        if problem:
            raise Violation(
                expected="predict(self, [context,] model_input, params=None)",
                found=problem,
                remedy="take what MLflow passes, in this order; give any other parameter a default",
                where=wrapper.predict.where,
            )


def build_outside_violation(source: ArtifactSource, others: str) -> Violation:
    remedy = f"put the files into {DATA}/ and declare their path relative to it"
    where = source.where
    if source.misnamed:
        received, where = f"{source.misnamed}: {source.declared!r}", Location(f"{DATA}/")
    elif source.stray_links:
        link = source.stray_links[0]
        end = "leads nowhere" if link.broken else f"leaves {DATA}/"
        end = "leads by an absolute path" if link.inside else end
        received, where = f"a symbolic link that {end}: {link.target}", link.where
        remedy = f"replace the link by the files themselves, inside {DATA}/"
    else:
        received = f"nothing at {source.where}"
    return Violation(
        expected=f"artifact {source.name} inside {DATA}/",
        found=f"{received}{others}",
        remedy=remedy,
        where=where,
    )


# ---------------------------------------------------------------------------------------- author
#
# The author's files beside the code: the licence and the variants.

# Maximum characters of a value in a message.
_WIDEST = 105
_EXAMPLE = "--model-class model_code.my_model:MyModel --artifact weights=weights"


@rule("VCP107")
def test_vcp107_there_is_a_licence(vcp_settings: Settings, vcp_licence: Licence) -> None:
    """A completed licence file is present."""
    wanted = vcp_settings.policy.licence_files[0]
    if not vcp_licence.files:
        near = f"rename {vcp_licence.near[0]} to {wanted}" if vcp_licence.near else ""
        raise Violation(
            expected=f"a licence in the package directory, as {wanted}",
            found=f"{vcp_licence.near[0]}, a name that the hub does not look for"
            if vcp_licence.near
            else "no licence file",
            remedy=near or f"write the licence of the code and the weights into {wanted}",
            where=Location(vcp_licence.near[0] if vcp_licence.near else wanted),
        )
    for file in vcp_licence.files:
        if file.is_empty:
            raise Violation(
                expected="the text of a licence",
                found="an empty file",
                remedy="write the licence of the code and the weights into it",
                where=file.where,
            )
        if file.placeholder is not None:
            raise Violation(
                expected="a completed licence, with copyright holder and year",
                found=f"{file.placeholder.text!r}, which is the template's",
                remedy="write what belongs there: the year, the holder, the text of the licence",
                where=file.placeholder.where,
            )


@rule("VCP109")
def test_vcp109_every_variant_can_be_packaged(
    vcp_settings: Settings, vcp_metadata: Metadata | None
) -> None:
    """The metadata file parses, and each variant in it names a class and at least one artifact.

    One without variants is sound: the run is told elsewhere what to package.
    """
    if vcp_metadata is None:
        return
    if vcp_metadata.problem is not None:
        raise Violation(
            expected="a metadata file that can be read",
            found=vcp_metadata.problem,
            remedy=vcp_metadata.remedy,
            where=vcp_metadata.where,
        )
    for entry in vcp_metadata.variants:
        _require_usable(entry)
    if vcp_settings.metadata_problems:
        origin, problem = vcp_settings.metadata_problems[0]
        value, _, reason = problem.partition(" is not usable; ")
        why, _, remedy = reason.rpartition("; ")
        room = max(_WIDEST - len(why) - 2, 40) if why else _WIDEST
        found = truncate(value, room) + (f": {why}" if why else "")
        raise Violation(
            expected="arguments that the packager can use, in every variant",
            found=f"{truncate(found, _WIDEST)}{and_others(len(vcp_settings.metadata_problems))}",
            remedy=truncate(remedy, _WIDEST) or "correct it, or delete the variant",
            where=Location(origin),
        )
    for entry in vcp_metadata.variants:
        if entry.arguments.skip_inference:
            raise Violation(
                expected="arguments that do not skip the forward pass",
                found=f"--skip-inference for {shorten(entry.name)}, which is ignored here",
                remedy="delete it: the hub predicts with every model",
                where=entry.where,
                binds=False,
            )


def _require_usable(entry: VariantEntry) -> None:
    arguments = entry.arguments
    expected = f"a class and at least one artifact for the variant {shorten(entry.name)}"
    if entry.is_placeholder:
        found = "the placeholder of the template"
        remedy = f"name the variant, and write what it needs: {_EXAMPLE}"
    elif entry.problem is not None:
        expected = f"arguments that the packager can read, for the variant {shorten(entry.name)}"
        found, remedy = entry.problem, entry.remedy
    elif arguments.model_class is None:
        found, remedy = "no --model-class", "add --model-class MODULE:CLASS"
    elif not arguments.artifacts:
        found = "no --artifact"
        remedy = "add --artifact NAME=PATH; PATH begins below model_data/, as in weights=pcs50"
    else:
        return
    raise Violation(
        expected=expected,
        found=found,
        remedy=remedy,
        where=entry.where,
    )


# ---------------------------------------------------------------------------------------- source
#
# Parts of the source that only work for its author.


@rule("VCP110")
def test_vcp110_no_path_of_the_authors_machine(
    vcp_package: ModelPackage, vcp_author_paths: tuple[AuthorPath, ...]
) -> None:
    """The code contains no path of the author's machine."""
    require_parsed(vcp_package)
    if vcp_author_paths:
        first = vcp_author_paths[0]
        raise Violation(
            expected="paths that come from context.artifacts or from the input",
            found=f"{first.text}{and_others(len(vcp_author_paths))}",
            remedy="put the file into model_data/, declare it as an artifact, and take its path "
            "from context.artifacts",
            where=first.where,
        )


@rule("VCP111")
def test_vcp111_no_device_is_hard_coded(
    vcp_package: ModelPackage, vcp_fixed_devices: tuple[FixedDevice, ...]
) -> None:
    """No device is used without a check that it is there."""
    require_parsed(vcp_package)
    if vcp_fixed_devices:
        first = vcp_fixed_devices[0]
        raise Violation(
            expected="a device that is chosen by what there is",
            found=f"{first.code}{and_others(len(vcp_fixed_devices))}",
            remedy='use "cuda" if torch.cuda.is_available() else "cpu", and .to(device)',
            where=first.where,
        )


@rule("VCP112")
def test_vcp112_no_module_shadows_another(vcp_shadows: tuple[Shadow, ...]) -> None:
    """No module beside model_code has the name of one of Python's or of a pinned distribution."""
    if vcp_shadows:
        first = vcp_shadows[0]
        raise Violation(
            expected="no module beside model_code named like Python's or a pinned package",
            found=f"{first.name}, which hides {first.of}{and_others(len(vcp_shadows))}",
            remedy="move it into model_code/ and import it from there; or delete or rename it",
            where=first.where,
        )


@rule("VCP113")
def test_vcp113_model_code_holds_code(
    vcp_settings: Settings, vcp_package: ModelPackage, vcp_no_code: tuple[NoCode, ...]
) -> None:
    """model_code contains code, and no weights."""
    require_code(vcp_package)
    if vcp_no_code:
        first = vcp_no_code[0]
        most = vcp_settings.policy.code_file_bytes / 1e6
        raise Violation(
            expected=f"code and small texts in model_code, no file over {most:.6g} MB",
            found=f"{first.kind}{and_others(len(vcp_no_code))}",
            remedy="move it to model_data/, declare it as an artifact, use context.artifacts",
            where=first.where,
        )


@rule("VCP114")
def test_vcp114_no_credentials(vcp_credentials: Credentials) -> None:
    """What would be packaged contains no credentials."""
    if vcp_credentials.found:
        first = vcp_credentials.found[0]
        raise Violation(
            expected="no token, key or password in the package",
            found=f"{first.kind}{and_others(len(vcp_credentials.found))}",
            remedy="delete it here, and revoke it where it was issued: others may have it by now",
            where=first.where,
        )
    if not vcp_credentials.complete:
        raise Unverified("model_code and model_data hold too many small files to read them all")


@rule("VCP116")
def test_vcp116_every_config_key_is_read(
    vcp_settings: Settings,
    vcp_package: ModelPackage,
    vcp_model_config: object,
    vcp_wrapper: WrapperFacts | NotFound,
    vcp_config_use: ConfigUse,
) -> None:
    """Every key of the model config is read in model_code."""
    require_parsed(vcp_package)
    if isinstance(vcp_wrapper, NotFound):
        raise Blocked("VCP103")
    if not isinstance(vcp_model_config, dict):
        raise Blocked("VCP108")
    unread = vcp_config_use.list_unread(vcp_model_config)
    if not unread:
        return
    if vcp_wrapper.is_python_model is None:
        raise Unverified("the model class has a base outside model_code, which may read the config")
    first = unread[0]
    origin = vcp_settings.given("model-config-json", "").origin
    meant = nearest(first[-1], sorted(vcp_config_use.keys))
    raise Violation(
        expected="a model config whose every key is read in model_code",
        found=f"{'.'.join(map(shorten, first))}, which nothing reads{and_others(len(unread))}",
        remedy=f"{meant} " * bool(meant) + f"correct it in {origin}, or leave it out",
        where=vcp_wrapper.where,
    )
