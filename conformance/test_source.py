"""Section 1, continued: what the source holds that works for nobody but its author."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vcp.rules.outcomes import Blocked, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others
from pytest_vcp.settings.values import nearest
from pytest_vcp.source.author_paths import AuthorPath
from pytest_vcp.source.code_files import NoCode
from pytest_vcp.source.config_use import ConfigUse
from pytest_vcp.source.credentials import Credentials
from pytest_vcp.source.fixed_devices import FixedDevice
from pytest_vcp.source.package import ModelPackage, require_code, require_parsed
from pytest_vcp.source.packager_arguments import short
from pytest_vcp.source.shadows import Shadow
from pytest_vcp.source.wrapper import NotFound, WrapperFacts

if TYPE_CHECKING:
    from pytest_vcp.settings.resolved import Settings


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
            received=f"{first.text}{and_others(len(vcp_author_paths))}",
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
            received=f"{first.code}{and_others(len(vcp_fixed_devices))}",
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
            received=f"{first.name}, which hides {first.of}{and_others(len(vcp_shadows))}",
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
            received=f"{first.kind}{and_others(len(vcp_no_code))}",
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
            received=f"{first.kind}{and_others(len(vcp_credentials.found))}",
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
    unread = vcp_config_use.unread(vcp_model_config)
    if not unread:
        return
    if vcp_wrapper.is_python_model is None:
        raise Unverified("the model class has a base outside model_code, which may read the config")
    first = unread[0]
    place = vcp_settings.given("model-config-json", "").place
    meant = nearest(first[-1], sorted(vcp_config_use.keys))
    raise Violation(
        expected="a model config whose every key is read in model_code",
        received=f"{'.'.join(map(short, first))}, which nothing reads{and_others(len(unread))}",
        remedy=f"{meant} " * bool(meant) + f"correct it in {place}, or leave it out",
        where=vcp_wrapper.where,
    )
