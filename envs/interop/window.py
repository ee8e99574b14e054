"""A window on the screen that shows pictures, by pygame, which is imported when it opens."""

from typing import Any

import numpy as np

from jaxmarl_core.envs.interop.extras import need

EXTRA = "pettingzoo"


class Window:
    """Shows one picture after the other; opens with the first."""

    def __init__(self, title: str, frames_per_second: int):
        self._title = title
        self._frames_per_second = frames_per_second
        self._screen: Any = None
        self._clock: Any = None

    def show(self, image: np.ndarray) -> None:
        """Shows an image [H, W, 3] uint8, after the time of the last one is over.

        Raises:
          ImportError: pygame is not installed.
        """
        pygame = need("pygame", EXTRA)
        height, width, _ = image.shape
        if self._screen is None:
            pygame.display.init()
            pygame.display.set_caption(self._title)
            self._screen = pygame.display.set_mode((width, height))
            self._clock = pygame.time.Clock()
        surface = pygame.surfarray.make_surface(image.swapaxes(0, 1))  # its first axis is width
        self._screen.blit(surface, (0, 0))
        pygame.event.pump()  # or the system takes the window for hung
        pygame.display.flip()
        self._clock.tick(self._frames_per_second)

    def close(self) -> None:
        """Closes the window; the next picture opens another one."""
        if self._screen is not None:
            need("pygame", EXTRA).display.quit()
            self._screen = self._clock = None
