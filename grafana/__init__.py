"""How the service is watched: dashboards, rules, objectives. No part of what is installed."""
