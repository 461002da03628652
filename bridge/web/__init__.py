"""The Flask application: webhook views, the operator's page and its forms, health."""
