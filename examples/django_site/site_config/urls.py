"""The addresses of the project."""

from django.contrib import admin
from django.urls import path
from library import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", views.index, name="index"),
    path("documents/", views.add, name="add"),
    path("documents/<int:pk>/", views.show, name="show"),
    path("documents/<int:pk>/file", views.download, name="download"),
    path("visits/", views.visits, name="visits"),
    path("export.csv", views.export, name="export"),
]
