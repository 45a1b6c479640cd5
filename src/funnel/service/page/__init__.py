"""The page at `/`: what the service does, and why. No build step, and nothing that is not in this folder.

`static/htmx.min.js` is htmx.org 2.0.11 (Zero-Clause BSD), `static/uPlot.min.js` and `.css` are uPlot 1.6.32
(MIT); their licences are beside them.
"""
