"""Dual backups: made on two media, verified, repaired one from the other, opened by stock tools."""

from appliance.backups.check import (
    BackupInfo,
    BackupReport,
    CopyReport,
    FileProblem,
    list_backups,
    repair_backup,
    verify_backup,
)
from appliance.backups.layout import BackupDamagedError
from appliance.backups.make import BackupRef, make_backup
from appliance.backups.media import check_media
from appliance.backups.reading import BackupContent, open_backup, read_backup

__all__ = [
    "BackupContent",
    "BackupDamagedError",
    "BackupInfo",
    "BackupRef",
    "BackupReport",
    "CopyReport",
    "FileProblem",
    "check_media",
    "list_backups",
    "make_backup",
    "open_backup",
    "read_backup",
    "repair_backup",
    "verify_backup",
]
