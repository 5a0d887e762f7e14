"""Files of results: ASDF converters and schemas, and products for other programs."""
