"""The physics solver: the object, the probe and everything else of one scan, without a network."""

from pinn_data.solver.recipe import solve
from pinn_data.solver.settings import AUTOMATIC, PARTS, SolverSettings, parse_parts
from pinn_data.solver.solution import Solution

__all__ = ["AUTOMATIC", "PARTS", "Solution", "SolverSettings", "parse_parts", "solve"]
