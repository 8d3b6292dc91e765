"""Group report: key figures, table of sessions, outliers, figures and plots."""
