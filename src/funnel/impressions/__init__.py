"""What was shown, why, and what came of it: the log of answers.

    for impression in funnel.read_impressions("indexes/live/answers"):
        print(impression.user, impression.shown_items)

An answer is a JSON line in a file of its hour and its process, written in the background by a `Recorder`.
"""

from funnel.impressions.config import ImpressionsConfig
from funnel.impressions.files import answers_folder, shadow_folder
from funnel.impressions.frames import to_frame
from funnel.impressions.join import Joined, JoinFigures, join
from funnel.impressions.reader import ReadFigures, read
from funnel.impressions.record import Impression, as_line, from_line
from funnel.impressions.recorder import Recorder

__all__ = [
    "Impression",
    "ImpressionsConfig",
    "JoinFigures",
    "Joined",
    "ReadFigures",
    "Recorder",
    "answers_folder",
    "as_line",
    "from_line",
    "join",
    "read",
    "shadow_folder",
    "to_frame",
]
