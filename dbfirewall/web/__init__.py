"""The admin listener: metrics, health; later the approvers' console and API."""
