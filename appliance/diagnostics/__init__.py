"""What the workshop needs to see of a kit that fails, with nothing of its secrets or customers."""

from appliance.diagnostics.about import about
from appliance.diagnostics.bundle import Bundle, bundle
from appliance.diagnostics.known import head_of, mask_of
from appliance.diagnostics.logs import read_logs
from appliance.diagnostics.mask import Mask

__all__ = ["Bundle", "Mask", "about", "bundle", "head_of", "mask_of", "read_logs"]
