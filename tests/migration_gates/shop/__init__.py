"""An application whose migrations have gates: a column that is filled by a back-fill and then becomes NOT NULL."""
