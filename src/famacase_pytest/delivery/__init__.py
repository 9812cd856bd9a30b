"""From a stored result to the back end. Knows neither qase nor pytest."""
