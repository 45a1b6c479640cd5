"""From a folder of foreign files to a schema and a config: `funnel init`.

made = guess(Path("export"))
write(made, Path("shop.toml"), data="export")
"""

from funnel.init.database import DatabaseSource, guess_database
from funnel.init.findings import Conclusion, Unused
from funnel.init.guess import Guess, guess
from funnel.init.writing import write

__all__ = ["Conclusion", "DatabaseSource", "Guess", "Unused", "guess", "guess_database", "write"]
