"""meinheld's package on gowsgi: names, arguments and quirks of version 1.0.2, without its defects.

Write `from gowsgi.compat import meinheld`, or keep `import meinheld` and see gowsgi.compat. Not here yet: gmeinheld.
What differs on purpose is listed in docs/migrate-meinheld.md.
"""

from __future__ import annotations

from gowsgi.compat.meinheld import mlogging as mlogging
from gowsgi.compat.meinheld.server import *  # noqa: F403

# Of the package whose interface this is.
__version__ = "1.0.2"
