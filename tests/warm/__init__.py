"""Runs of the plugin whose processes are forked from ones that have imported their libraries.

Importing MLflow and pytest is most of what a run on a small package costs. A server is a process of
one interpreter and one role that has done the imports; from it, each run gets a process of its own,
which from then on is like one that was started for it: same code, same namespaces, same MLflow.
What is read when an interpreter starts is not: such runs stay cold.

Servers belong to a pool, a directory that lives as long as the session of tests.
"""
