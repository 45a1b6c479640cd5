"""What must hold of a list that is shown: rules as they are declared, and the list that keeps to them
best."""

from funnel.rules.check import check_rules
from funnel.rules.config import KINDS, Rule, check_together, ordered
from funnel.rules.ruleset import Ruleset

__all__ = ["KINDS", "Rule", "Ruleset", "check_rules", "check_together", "ordered"]
