from django.urls import path

from . import views

urlpatterns = [
    path("", views.index),
    path("upload/", views.upload),
    path("uploads/", views.uploads),
    path("stream/", views.stream),
    path("slow/", views.slow),
]
