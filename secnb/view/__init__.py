"""VIEW: charts, tables and panels from frames and results; they return objects and never print."""
