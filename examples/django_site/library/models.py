"""One table: documents and how often they were fetched."""

from django.db import models
from django.urls import reverse


class Document(models.Model):
    title = models.CharField(max_length=200)
    file = models.FileField(upload_to="documents")
    added = models.DateTimeField(auto_now_add=True)
    fetched = models.PositiveIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["-id"]

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("show", args=[self.pk])
