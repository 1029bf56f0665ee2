"""Where frames come from: a camera, a video file, a still picture, or a motion recording."""
