"""What people look at: self-contained HTML pages from one base template, and plots in one style."""
