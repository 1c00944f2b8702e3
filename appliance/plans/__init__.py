"""From a profile and a wish to a write plan: every request fixed before the car hears one."""

from appliance.plans.compiled import CompiledPlan, PlanError
from appliance.plans.compiler import (
    compile_coding,
    compile_flash,
    compile_recovery,
    compile_restore,
    writable_regions,
)
from appliance.plans.describe import describe
from appliance.plans.values import read_field

__all__ = [
    "CompiledPlan",
    "PlanError",
    "compile_coding",
    "compile_flash",
    "compile_recovery",
    "compile_restore",
    "describe",
    "read_field",
    "writable_regions",
]
