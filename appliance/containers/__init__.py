"""Software containers: Intel HEX, S-record, raw binary with a manifest, VBF.

A container is read completely and every checksum in it compared before anything is planned.
"""

from appliance.containers.errors import ContainerError
from appliance.containers.image import ContainerKind, Image, Segment
from appliance.containers.load import SIZE_LIMIT, load_container

__all__ = ["SIZE_LIMIT", "ContainerError", "ContainerKind", "Image", "Segment", "load_container"]
