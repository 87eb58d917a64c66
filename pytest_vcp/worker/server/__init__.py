"""The code that runs in the model's environment: stdlib only, and MLflow where a request needs it.

The worker loads this folder under the private name `_vcp_server`, so that nothing installed beside
the plugin gets on the model's `sys.path`; modules here import each other relatively and never
`pytest_vcp`. A public function `f(state, params) -> dict` of a module here is a method that the
client may call as `"module.f"`.
"""
