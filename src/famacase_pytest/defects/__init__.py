"""Defects in the team's tracker, through any client written for the TestBench Defect Service; an extra.

Imported only where ``testops.defect`` is on and a client is named. Only `tracker` and `filing` import that
package.
"""
