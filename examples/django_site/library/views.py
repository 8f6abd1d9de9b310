"""List, upload, show, download; a visit counter in the session; an export that streams."""

import csv

from django import forms
from django.db.models import F
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from .models import Document


class DocumentForm(forms.ModelForm):
    class Meta:
        model = Document
        fields = ["title", "file"]


@require_safe
def index(request):
    documents = Document.objects.all()[:100]
    return render(request, "library/index.html", {"documents": documents, "form": DocumentForm()})


def add(request):
    form = DocumentForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        return redirect(form.save())
    return render(request, "library/index.html", {"documents": [], "form": form}, status=400 if form.errors else 200)


@require_safe
def show(request, pk):
    return render(request, "library/show.html", {"document": get_object_or_404(Document, pk=pk)})


@require_safe
def download(request, pk):
    document = get_object_or_404(Document, pk=pk)
    Document.objects.filter(pk=pk).update(fetched=F("fetched") + 1)
    # A FileResponse goes out as wsgi.file_wrapper: the kernel sends the file.
    return FileResponse(document.file.open("rb"), as_attachment=True, filename=document.title)


@require_safe
def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]), content_type="text/plain")


class Line:
    """What csv writes to: hands the line back instead of keeping it."""

    def write(self, line):
        return line


@require_safe
def export(request):
    writer = csv.writer(Line())
    rows = Document.objects.values_list("id", "title", "fetched").iterator()
    lines = (writer.writerow(row) for row in rows)
    return StreamingHttpResponse(lines, content_type="text/csv")
