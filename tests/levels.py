"""How binding each rule is under the policy that is shipped."""

from pytest_vcp.settings.policy import load_policy

level_of = load_policy().level_of
