"""Bodies shared by several agents: which joints each one moves, and which joints are neighbours.

The partitions of Peng et al., 2021, arXiv:2003.06709 (Multi-Agent MuJoCo), by the names of joints.
"""

from itertools import chain
from typing import Any, NamedTuple

import numpy as np

Joints = tuple[str, ...]

ANT = tuple((f"hip_{leg}", f"ankle_{leg}") for leg in (1, 2, 3, 4))
CHEETAH = (("bthigh", "bshin", "bfoot"), ("fthigh", "fshin", "ffoot"))
HOPPER = ("thigh_joint", "leg_joint", "foot_joint")
WALKER = (HOPPER, ("thigh_left_joint", "leg_left_joint", "foot_left_joint"))
HUMANOID_UPPER = (
    ("abdomen_y", "abdomen_z", "abdomen_x"),
    ("right_shoulder1", "right_shoulder2", "right_elbow"),
    ("left_shoulder1", "left_shoulder2", "left_elbow"),
)
HUMANOID_LOWER = tuple(
    tuple(f"{side}_{joint}" for joint in ("hip_x", "hip_z", "hip_y", "knee"))
    for side in ("right", "left")
)


def _all(limbs: tuple[Joints, ...]) -> Joints:
    return tuple(chain.from_iterable(limbs))


def _each(joints: Joints) -> tuple[Joints, ...]:
    return tuple((joint,) for joint in joints)


# task -> (body, the joints of each agent)
TASKS: dict[str, tuple[str, tuple[Joints, ...]]] = {
    "ant_2x4": ("ant", (_all(ANT[:2]), _all(ANT[2:]))),
    "ant_2x4d": ("ant", (_all(ANT[::2]), _all(ANT[1::2]))),
    "ant_4x2": ("ant", ANT),
    "ant_8x1": ("ant", _each(_all(ANT))),
    "halfcheetah_2x3": ("halfcheetah", CHEETAH),
    "halfcheetah_6x1": ("halfcheetah", _each(_all(CHEETAH))),
    "hopper_3x1": ("hopper", _each(HOPPER)),
    "humanoid_9|8": ("humanoid", (_all(HUMANOID_UPPER), _all(HUMANOID_LOWER))),
    "humanoid_17x1": ("humanoid", _each(_all(HUMANOID_UPPER + HUMANOID_LOWER))),
    "walker2d_2x3": ("walker2d", WALKER),
    "walker2d_6x1": ("walker2d", _each(_all(WALKER))),
}


class Body(NamedTuple):
    """A jointed body, its motors in the order of the action vector."""

    joints: Joints  # [A] names of the motors' joints
    bodies: tuple[int, ...]  # [A] the part each one moves; 0 is the ground
    parents: tuple[int, ...]  # [A] the part it hangs on
    angle: tuple[int, ...]  # [A] index into the coordinates q
    speed: tuple[int, ...]  # [A] index into the velocities qd

    def index(self, joints: Joints) -> tuple[int, ...]:
        """Returns the places of joints in the action vector."""
        return tuple(self.joints.index(joint) for joint in joints)

    def distances(self) -> np.ndarray:
        """Returns [A, A] int, steps from joint to joint; neighbours hang on one part."""
        parts = np.zeros((len(self.joints), 1 + max(self.bodies)), bool)
        for row, ends in zip(parts, zip(self.bodies, self.parents)):
            row[list(ends)] = True
        near = (parts[:, None] & parts[None]).any(-1)
        far = len(self.joints)
        steps = np.where(np.eye(far, dtype=bool), 0, np.where(near, 1, far))
        for middle in range(far):  # Floyd and Warshall
            steps = np.minimum(steps, steps[:, middle, None] + steps[None, middle])
        return steps


def body_of(model: Any) -> Body:
    """Returns the body that a MuJoCo model (`mujoco.MjModel`) describes."""
    moved = [int(model.actuator_trnid[i, 0]) for i in range(model.nu)]
    bodies = [int(model.jnt_bodyid[joint]) for joint in moved]
    return Body(
        joints=tuple(model.joint(joint).name for joint in moved),
        bodies=tuple(bodies),
        parents=tuple(int(model.body_parentid[body]) for body in bodies),
        angle=tuple(int(model.jnt_qposadr[joint]) for joint in moved),
        speed=tuple(int(model.jnt_dofadr[joint]) for joint in moved),
    )
