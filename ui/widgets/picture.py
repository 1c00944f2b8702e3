"""`Picture`: what a model drew, as large as it is; fires `on_release` when touched."""

from __future__ import annotations

from kivy.graphics.texture import Texture
from kivy.properties import ObjectProperty
from kivy.uix.behaviors import ButtonBehavior
from kivy.uix.widget import Widget

from ui.widgets import kv


class Picture(ButtonBehavior, Widget):  # type: ignore[misc]  # Kivy brings no types
    """See the module. `picture` has `width`, `height` and `pixels`: rows of RGB from the top."""

    picture = ObjectProperty(None, allownone=True)
    texture = ObjectProperty(None, allownone=True)

    def on_picture(self, _self: object, picture: object) -> None:
        """Hand the pixels to the graphics chip."""
        if picture is None:
            self.texture = None
            return
        size = picture.width, picture.height  # type: ignore[attr-defined]  # see the class
        texture = Texture.create(size=size, colorfmt="rgb")
        texture.blit_buffer(picture.pixels, colorfmt="rgb", bufferfmt="ubyte")  # type: ignore[attr-defined]  # as above
        texture.flip_vertical()
        self.texture = texture


kv.load(__file__)
