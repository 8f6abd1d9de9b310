"""Documents in Django's admin pages."""

from django.contrib import admin

from .models import Document


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):
    list_display = ["title", "added", "fetched"]
    search_fields = ["title"]
