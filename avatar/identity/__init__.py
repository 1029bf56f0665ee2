"""One picture becomes an identity, and lives in an .avatar file."""
