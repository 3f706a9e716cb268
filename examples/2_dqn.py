"""Stable-Baselines3's DQN on the environment, with a three-dimensional convolution for what an agent sees.

    python examples/2_dqn.py [ACTIONS]

A hundred actions show that it runs; to learn something give it 20,000. `python -m mapmpi.train` needs far fewer,
because it explores by a plan.
"""

import sys

import torch
from stable_baselines3 import DQN
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

import mapmpi


class Convolution(BaseFeaturesExtractor):
    """Features of a density grid, uint8 (channels, points, points, points)."""

    def __init__(self, space, features=64):
        super().__init__(space, features)
        channels, points = space.shape[:2]
        self.layers = torch.nn.Sequential(
            torch.nn.Conv3d(channels, 8, 3, stride=2, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(8 * ((points + 1) // 2) ** 3, features),
            torch.nn.ReLU(),
        )

    def forward(self, grid):
        return self.layers(grid.float() / 255.0)


actions = int(sys.argv[1]) if len(sys.argv) > 1 else 100
settings = ["episode.max_actions=20", "actions.directions=axes6", "dynamics.steps_per_action=10"]
env = Monitor(mapmpi.make("mapmpi/CopperAdatom-v0", settings))
policy = {"features_extractor_class": Convolution, "normalize_images": False}
model = DQN("CnnPolicy", env, policy_kwargs=policy, learning_starts=20, buffer_size=10_000, gamma=0.98, seed=1)
model.learn(actions)

observation, _ = env.reset(seed=2)
ended, total = False, 0.0
while not ended:
    action, _ = model.predict(observation, deterministic=True)
    observation, reward, terminated, truncated, info = env.step(action)
    ended, total = terminated or truncated, total + reward
returns = env.get_episode_rewards()
print(
    f"{len(returns)} episodes, best return {max(returns):.2f}; the policy alone: {info['progress']:.2f} Å, {total:.2f}"
)
env.close()
