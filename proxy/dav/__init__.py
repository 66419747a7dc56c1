"""CalDAV and CardDAV: HTTP/1.1 with every head checked, and the wall between contacts and events."""
