"""Draw poses on photos and videos: ``python predict.py photo.jpg folder/ video.mp4``."""

from paddle_pose.serving.predict_line import main

if __name__ == "__main__":
    main()
