"""The environment in a loop: an agent drags an adatom over Cu(100), and every action tells what it cost.

python examples/1_environment.py
"""

import numpy as np

import mapmpi

env = mapmpi.make("mapmpi/CopperAdatom-v0", ["episode.max_actions=15"])
directions = env.unwrapped.environment.vectors  # (actions, 3) Å
observation, info = env.reset(seed=1)
print(f"sees {observation.shape} of {observation.dtype}, has {env.action_space.n} actions")

straight = int(np.argmax(directions @ [1.0, 0.0, 0.0]))
total, ended = 0.0, False
while not ended:
    observation, reward, terminated, truncated, info = env.step(straight)
    total += reward
    ended = terminated or truncated
    print(
        f"{info['progress']:5.2f} Å on the way, highest energy {info['highest_energy']:.3f} eV, "
        f"reward {reward:+.2f} = " + " ".join(f"{name} {value:+.2f}" for name, value in info["terms"].items())
    )
print(f"ended: {info['ending']}, return {total:.2f}")
env.close()
