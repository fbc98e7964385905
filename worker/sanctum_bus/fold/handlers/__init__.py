"""Event handlers: one module for each family of event types, and one for each record that several families write."""
