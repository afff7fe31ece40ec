"""A user's own data: images, tables and series read from files, and the preprocessing that makes inputs of them."""
