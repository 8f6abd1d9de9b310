"""What gowsgi serves: gowsgi --threads 4 --chdir examples/django_site site_config.wsgi"""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_config.settings")

application = get_wsgi_application()

# An example should start with one command, so the tables are made here. A real project migrates when it is deployed.
call_command("migrate", verbosity=0)
