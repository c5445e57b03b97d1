"""What Ansible makes of inventories: one JSON request on standard input, one answer on standard output.

The request is a list of cases, each with `path` and `patterns`. The answer has for each case the variables of all hosts, the
hosts of all groups, and the hosts that each pattern selects; or `error`.
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")

from ansible import constants  # noqa: E402
from ansible.errors import AnsibleError  # noqa: E402
from ansible.inventory.manager import InventoryManager  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.plugins.loader import init_plugin_loader  # noqa: E402
from ansible.utils.display import Display  # noqa: E402
from ansible.vars.manager import VariableManager  # noqa: E402

# The answer stands alone on standard output.
Display.display = lambda *args, **kwargs: None
init_plugin_loader([])
constants.INVENTORY_ANY_UNPARSED_IS_FAILED = True


def case(path, patterns):
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[path])
    variables = VariableManager(loader=loader, inventory=inventory)
    hosts = {}
    for host in inventory.get_hosts("all"):
        found = variables.get_vars(host=host, include_hostvars=False, stage="all")
        hosts[host.name] = {
            str(name): value for name, value in found.items() if name not in constants.INTERNAL_STATIC_VARS
        }
    return {
        "hosts": hosts,
        "groups": {group.name: [host.name for host in group.get_hosts()] for group in inventory.groups.values()},
        "selected": {pattern: [host.name for host in inventory.get_hosts(pattern)] for pattern in patterns},
    }


answers = []
for request in json.load(sys.stdin):
    try:
        answers.append(case(request["path"], request["patterns"]))
    except AnsibleError as error:
        answers.append({"error": str(error)})
json.dump(answers, sys.stdout, default=str)
