"""What a run leaves behind and shows: folder, progress, tables, report."""

from supernet.track.folder import RunFolder, StageLog
from supernet.track.profile import profile_tables
from supernet.track.progress import Progress
from supernet.track.report_file import write_report
from supernet.track.run_files import RunFiles
from supernet.track.tables import (
    compressed_table,
    doctor_table,
    export_table,
    latency_text,
    print_table,
    ranking_table,
    result_table,
)

__all__ = [
    "Progress",
    "RunFiles",
    "RunFolder",
    "StageLog",
    "compressed_table",
    "doctor_table",
    "export_table",
    "latency_text",
    "print_table",
    "profile_tables",
    "ranking_table",
    "result_table",
    "write_report",
]
