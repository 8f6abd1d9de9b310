"""The table of documents."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Document",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=200)),
                ("file", models.FileField(upload_to="documents")),
                ("added", models.DateTimeField(auto_now_add=True)),
                ("fetched", models.PositiveIntegerField(default=0, editable=False)),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
    ]
